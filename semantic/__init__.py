"""The semantic layer: a model of cubes, and the compiler from SQL on cubes to warehouse SQL.

Pure: no sockets, no drivers, no event loop, no clock, no environment.
"""
