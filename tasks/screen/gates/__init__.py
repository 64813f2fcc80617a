"""The gates that a candidate can be sent through, a file each, named as a study names it.

A gate is one class below `tasks.screen.gate.Gate`: its fields are its settings, `kind` is its name,
`decide` what it does. A new one is its file, its test and one line here.
"""

# ruff: noqa: F401 - a gate is known from the moment that its file is imported

import curette.tasks.screen.gates.class_leak
import curette.tasks.screen.gates.co_occurrence
import curette.tasks.screen.gates.contradiction
import curette.tasks.screen.gates.exact_duplicate
import curette.tasks.screen.gates.form
import curette.tasks.screen.gates.groundability
import curette.tasks.screen.gates.judge
import curette.tasks.screen.gates.language
import curette.tasks.screen.gates.learnability
import curette.tasks.screen.gates.near_duplicate
import curette.tasks.screen.gates.vacuity
import curette.tasks.screen.gates.visual
