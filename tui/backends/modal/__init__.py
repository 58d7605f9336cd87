"""The Modal backend: runs are detached apps on Modal's machines, volumes are Modal's.

Importing this package is cheap: Modal's library is imported, in a thread, by the first request to Modal.
"""
