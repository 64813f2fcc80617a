"""A finished study's dataset and heads, in formats that other programs read.

No stage: nothing rests on what is written, and no study asks for it.

In:    the published dataset, its trained heads, and what the evaluation told of test images.
Out:   a folder: the dataset with its probe, or its images for FiftyOne or for Label Studio.
First: `probe.py`, heads as one safetensors file; `shown.py`, what is told of images;
       `answers.py`, what people answered in Label Studio.
"""
