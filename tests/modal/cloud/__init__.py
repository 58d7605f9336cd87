"""A server of Modal's protocol on this machine, for tests: real clients, real containers.

`Cloud` (`server.py`) is the whole of it; README.md says what it serves. Nothing in it knows this project: it
stands for Modal alone.
"""

from tests.modal.cloud.faults import Faults
from tests.modal.cloud.server import Cloud
from tests.modal.cloud.state import App, Call, Container, Function, Image

__all__ = ["App", "Call", "Cloud", "Container", "Faults", "Function", "Image"]
