"""Events by push: a webhook of Quay, Cocktail or Code Stream becomes an event of an asset.

``app`` is the route, mounted by the plugin into Airflow's API server; ``endpoints`` says which webhooks are declared;
``bodies`` takes in what was sent; one module a system reads a message and asks the system what is true; ``counting``
writes the event, once; ``waking`` ends the waits for an execution that is over. Operators use ``endpoints`` only.
"""
