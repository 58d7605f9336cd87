"""The Modal backend: runs are detached apps on Modal's machines, volumes are Modal's.

Importing this package costs nothing: Modal's own library is imported, in a thread, when somebody first asks
for something that is on Modal.
"""
