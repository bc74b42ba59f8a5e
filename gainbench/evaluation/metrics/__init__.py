"""The metrics' definitions, one pure function each; :mod:`.catalogue` names them all and needs no torch."""
