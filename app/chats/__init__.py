"""Conversations: kept as files, answered by the server, whoever watches.

What one is (pure data, which evaluations read as well) is ``trainer.contract.conversation``. Its
rooms, each of which knows only those before it: ``blind`` (what may be seen of it), ``book``
(files), ``history`` (how a lane is asked), ``thinking`` and ``stream`` (an answer as it comes in),
``asking`` (a question and what can go wrong with it), ``continuing`` (an answer that was begun),
``writing`` (one answer), ``rooms`` (who watches and writes), ``presets``, ``requests``, ``rules``,
``service``; then what is made of conversations: ``prompts``, ``rows`` (exports), ``datasets``.
"""
