"""Code that is not ours runs here: a user's function, a program that a model wrote.

``process`` is a child and its limits, ``functions`` calls a function of a user's file in one,
``programs`` runs a program of a model against its tests; ``inside`` is the child's side of both.
"""
