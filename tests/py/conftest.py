"""Fixtures shared by the Python tests."""

import pytest

import aiopslab

PROBLEMS = [problem.id for problem in aiopslab.list_problems()]
assert len(PROBLEMS) >= 9, f"the catalogue has only {PROBLEMS}"


@pytest.fixture(params=PROBLEMS)
def problem_id(request):
    return request.param


@pytest.fixture
def env():
    with aiopslab.make("misconfig_app_hotel_res-mitigation-1", allow_oracle=True) as made:
        yield made
