"""What the evaluation answers, one file a question, each the records of one field of `Evaluation`.

A question has the same name in `tasks/evaluate/questions/`, and in the report. What stages before
the evaluation read is no answer, and stands elsewhere: plans of shifts, for one.
"""
