"""The stand-in for VMware Code Stream / Aria Automation Pipelines."""
