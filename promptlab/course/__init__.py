"""The course's exercises: ``check("01.2", answer)`` says whether an answer is right, and what is amiss with a wrong one."""

from promptlab.course import adapting, judging, prompting, seeing
from promptlab.course.exercise import EXERCISES, Verdict, check, solution

__all__ = ["EXERCISES", "Verdict", "adapting", "check", "judging", "prompting", "seeing", "solution"]
