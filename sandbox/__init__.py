"""The laptop's world: stand-ins for Railway and Kong, real app processes, real load.

Shares no code with `bluegreen`: a stand-in that imports the client it tests proves nothing.
"""
