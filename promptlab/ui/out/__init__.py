"""What can be taken away: Python code, a classifier, a report, the project as one file."""
