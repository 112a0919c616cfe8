"""The HTTP server and the command line: OpenAI's wire format over an engine and a compiler."""
