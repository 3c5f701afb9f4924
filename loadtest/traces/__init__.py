"""Request traces as streams of arrivals: who reads which format.

arrivals    what every reader yields, the error for a malformed file, and putting a nearly sorted stream in order
rows        CSV files line by line, each field checked, with file, line and field in every complaint
azure_llm   Azure's LLM inference traces: service times out of token counts
azure_2019  Azure Functions 2019: invocations per minute, and durations by percentile
azure_2021  Azure Functions 2021: single invocations
access_log  common and combined log format
synthetic   Poisson, MMPP, diurnal and flash-crowd arrivals
opening     picks the reader for a file or a description
describe    what is in a trace
"""
