"""A server of Modal's protocol on this machine, for tests: real clients, real containers.

`Cloud` (`server.py`) is the door; `python -m tests.modal.cloud` runs one by hand. Volumes are folders of
plain files, functions run in processes by Modal's own container entry point, logs are what those print.
Nothing here knows what the functions are: this is Modal's part and no part of the product.
"""

from tests.modal.cloud.faults import Faults
from tests.modal.cloud.server import Cloud
from tests.modal.cloud.state import App, Call, Container, Function, Image

__all__ = ["App", "Call", "Cloud", "Container", "Faults", "Function", "Image"]
