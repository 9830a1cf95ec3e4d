"""Tests of the project as a whole: layers, documents, examples, public names, the wheel."""
