// Where Verilator's run-time library prints and stops. No function here ends the process: errors are recorded in
// the context, or thrown to the C interface in shim.cpp, which returns them.
#include "runtime.h"
#include <cstdio>
#include <stdexcept>
#include <string>

namespace bitweft {
thread_local Log* current_log = nullptr;
}

int bitweft_print(const char* format, ...) {
    bitweft::Log* const log = bitweft::current_log;
    if (!log || log->text.size() >= bitweft::Log::bytes_max) return 0;
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    const int length = std::vsnprintf(nullptr, 0, format, arguments);
    va_end(arguments);
    if (length > 0) {
        const size_t old = log->text.size();
        log->text.resize(old + length + 1);
        std::vsnprintf(&log->text[old], length + 1, format, again);
        log->text.resize(old + length);
    }
    va_end(again);
    return length;
}

void vl_finish(const char*, int, const char*) { Verilated::threadContextp()->gotFinish(true); }

void vl_stop(const char* filename, int linenum, const char*) {
    Verilated::threadContextp()->gotError(true);
    Verilated::threadContextp()->gotFinish(true);
    bitweft_print("%s:%d: $stop\n", filename, linenum);
}

void vl_fatal(const char* filename, int linenum, const char*, const char* msg) {
    Verilated::threadContextp()->gotError(true);
    Verilated::threadContextp()->gotFinish(true);
    throw std::runtime_error(std::string(filename) + ":" + std::to_string(linenum) + ": " + msg);
}

void vl_warn(const char* filename, int linenum, const char*, const char* msg) {
    bitweft_print("%s:%d: warning: %s\n", filename, linenum, msg);
}
