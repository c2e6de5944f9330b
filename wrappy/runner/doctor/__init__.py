"""The doctor: what could keep a bot from trading, found before it trades."""

from wrappy.runner.doctor.findings import Finding, Grade, worst

__all__ = ["Finding", "Grade", "worst"]
