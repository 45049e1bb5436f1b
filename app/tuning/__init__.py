"""OpenAI's fine-tuning API: files that are uploaded, and jobs, each of which is a run.

Its rooms, each of which knows only those before it: ``multipart`` (an upload as it comes in),
``rows`` (OpenAI's rows as ours), ``files``, ``graders`` (as rewards), ``translation`` (a job as a
config), ``job`` (a run as a job), ``jobs``, ``routes``.
"""
