// Included first in every C++ file of a model, and precompiled: Verilator's run-time library, with its printing
// sent to the model that prints.
#ifndef BITWEFT_RUNTIME_H
#define BITWEFT_RUNTIME_H
#include <cstdarg>
int bitweft_print(const char* format, ...) __attribute__((format(printf, 1, 2)));
#define VL_PRINTF bitweft_print
// The functions that a design's $finish, $stop and fatal errors call are ours: see runtime.cpp.
#define VL_USER_FINISH
#define VL_USER_STOP
#define VL_USER_FATAL
#define VL_USER_WARN
#include "verilated.h"

namespace bitweft {
// What a model printed. Text over the bound is dropped, so that a design printing every cycle cannot fill memory.
struct Log {
    static constexpr size_t bytes_max = 1 << 20;
    std::string text;
};
// The log of the model that runs on this thread; null between calls.
extern thread_local Log* current_log;
}  // namespace bitweft

#endif
