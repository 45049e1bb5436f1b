"""Quantizes a GGUF file by llama-cpp-python; run by path in whichever environment has that.

Reads ``{"source", "target", "ftype", "threads"}`` from standard input; llama.cpp's own lines, such
as ``[  3/  75]``, go to standard output.
"""

import ctypes
import json
import sys


def main() -> int:
    """Quantize one file; 0 when it is whole."""
    wish = json.load(sys.stdin)
    import llama_cpp

    @llama_cpp.llama_log_callback
    def say(level: int, text: bytes, data: ctypes.c_void_p) -> None:
        sys.stdout.write(text.decode("utf-8", "replace"))
        sys.stdout.flush()

    llama_cpp.llama_log_set(say, ctypes.c_void_p(0))
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype, settings.nthread = wish["ftype"], wish["threads"]
    status = int(llama_cpp.llama_model_quantize(wish["source"].encode(), wish["target"].encode(),
                                                ctypes.byref(settings)))
    if status:
        print(f"\nllama.cpp could not quantize it (status {status}).")
    return status


if __name__ == "__main__":
    sys.exit(main())
