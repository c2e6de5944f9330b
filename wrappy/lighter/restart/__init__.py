"""The start after an earlier run: journal and exchange agree before the first order."""
