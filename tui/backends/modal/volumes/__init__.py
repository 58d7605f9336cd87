"""Files in Modal's volumes: list, download, upload."""
