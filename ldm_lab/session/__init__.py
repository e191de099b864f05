"""The engine under notebook, web page and scripts: jobs, events, previews, runs that branch. It knows no interface."""

from ldm_lab.session.branch_code import python_of_branch, python_of_run
from ldm_lab.session.code import given_values, lines_that_make, python_of, spell_call
from ldm_lab.session.compare import are_identical, check_made_by, count_common_steps, diff_settings
from ldm_lab.session.events import Event, Failed, Finished, Frame, LastEvent, Progressed, Started, Stepped, Stopped
from ldm_lab.session.grid import Axis, CellStore, axis_names, cells_of
from ldm_lab.session.job import Job
from ldm_lab.session.preview import linear_preview_of
from ldm_lab.session.session import Session
from ldm_lab.session.tree import RunTree

__all__ = [
    "Axis",
    "CellStore",
    "Event",
    "Failed",
    "Finished",
    "Frame",
    "Job",
    "LastEvent",
    "Progressed",
    "RunTree",
    "Session",
    "Started",
    "Stepped",
    "Stopped",
    "are_identical",
    "axis_names",
    "cells_of",
    "check_made_by",
    "count_common_steps",
    "diff_settings",
    "given_values",
    "linear_preview_of",
    "lines_that_make",
    "python_of",
    "python_of_branch",
    "python_of_run",
    "spell_call",
]
