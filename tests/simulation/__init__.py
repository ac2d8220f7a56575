"""Deterministic simulation: the real core in virtual time, against a simulated Airflow, vendors and people.

``python -m tests.simulation`` tries many lives of a task, each drawn from one seed; see ``__main__.py``.

- A life: ``plan.py`` draws it, with a theme of ``themes.py``; ``lives.py`` puts its parts together; ``world.py`` is
  time and chance; ``incidents.py`` carries out what goes wrong; ``story.py`` prints it.
- Airflow: ``airflow.py`` is its scheduler and API server, ``workers.py`` runs attempts, ``triggerers.py`` triggers.
- An attempt: ``carrying_out.py`` is what all share; ``starting.py``, ``gates.py``, ``acting.py``, ``answering.py``,
  ``releasing.py`` and ``triggering.py`` have what each kind of task adds, and what must hold in its lives. For a task
  that asks people about an approval, that is in ``asking.py``, ``asked.py`` (its trigger) and ``asked_invariants.py``;
  ``question_runs.py`` is for its trigger and that of gates.
- People: ``people.py`` has what Airflow keeps of a question and an answer, ``asked_people.py`` who answers when.
- A vendor: ``server.py``, with its executions in ``jobs.py``, approvals and events in ``approvals.py``, webhooks in
  ``pushing.py``, and HTTP in ``network.py``; ``characters.py`` has one for each contract.
- The promises: ``invariants.py``, with ``said.py`` for what a log names and ``windows.py`` for when nobody can cancel;
  ``guards/`` lists the lines that keep them, ``mutations.py`` removes one at a time,
  and ``guards_page.py`` writes down after how many lives that shows; ``faults.py`` has the faults of issue 9.
"""
