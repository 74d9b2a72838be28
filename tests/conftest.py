"""One thread, and the offset of seeds.

On tiny tensors more threads only wait for each other, and their number changes the last bits of sums.
"""

import pytest
import torch


def pytest_addoption(parser):
    parser.addoption("--seed-offset", type=int, default=0, help="added to the seeds of tests that ask for seed_offset")


@pytest.fixture(scope="session")
def seed_offset(request):
    return request.config.getoption("--seed-offset")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
