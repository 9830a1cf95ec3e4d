"""What the guest adds to modules of the standard library: what needs OpenSSL, sockets or 64-bit sizes elsewhere.

The completion of a module has its name, with underscores for dots. It is imported when the module has been
(_udf_importer.py).
"""
