// The C interface of one Verilated model. Every function returns; no C++ exception leaves it.
#include "runtime.h"
#include "Vmodel.h"
#include "model_ports.h"
#ifdef BITWEFT_TRACE
#include "verilated_fst_c.h"
#endif
#ifdef BITWEFT_COVERAGE
#include "verilated_cov.h"
#endif
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>

namespace {

enum Status : int32_t { status_ok = 0, status_stopped = 1, status_unavailable = 2 };

struct Port {
    const char* name;
    uint32_t bits;
    uint32_t direction;  // 0 input, 1 output, 2 both
    void* data;
};

struct Handle {
    bitweft::Log log;
    VerilatedContext context;
    std::unique_ptr<Vmodel> top;
    uint64_t cycles = 0;
    bool evaluated = false;
    Port ports[BITWEFT_PORT_COUNT + 1] = {};
#ifdef BITWEFT_TRACE
    std::unique_ptr<VerilatedFstC> trace;
#endif

    void eval() {
        top->eval();
        evaluated = true;
    }

    void dump() {
#ifdef BITWEFT_TRACE
        if (trace) trace->dump(context.time());
#endif
    }
};

// Runs `body` with this model's context and log bound to the thread.
template <class Body>
int32_t guarded(Handle* handle, Body&& body) noexcept {
    bitweft::Log* const outer = bitweft::current_log;
    bitweft::current_log = &handle->log;
    int32_t status = status_ok;
    try {
        Verilated::threadContextp(&handle->context);
        body();
        if (handle->context.gotError()) status = status_stopped;
    } catch (const std::exception& error) {
        handle->log.text += error.what();
        status = status_stopped;
    } catch (...) {
        handle->log.text += "unknown C++ exception";
        status = status_stopped;
    }
    bitweft::current_log = outer;
    return status;
}

Handle* create(int32_t seed, int32_t randomize, int32_t* status) noexcept {
    Handle* const handle = new Handle;
    *status = guarded(handle, [=] {
        handle->context.randSeed(seed);
        handle->context.randReset(randomize ? 2 : 0);
        handle->context.fatalOnError(false);
#ifdef BITWEFT_TRACE
        handle->context.traceEverOn(true);
#endif
        handle->top.reset(new Vmodel{&handle->context, "TOP"});
        Vmodel* const top = handle->top.get();
        size_t index = 0;
#define BITWEFT_PORT(name, member, bits, direction) handle->ports[index++] = Port{name, bits, direction, &top->member};
        BITWEFT_PORTS
#undef BITWEFT_PORT
        // Registers start with random bits, inputs do not: a clock that starts high would hide its first edge.
        for (const Port& port : handle->ports) {
            if (port.direction == 1 || !port.data) continue;
            const size_t words = (port.bits + 31) / 32;
            const size_t bytes = port.bits <= 8 ? 1 : port.bits <= 16 ? 2 : words * sizeof(EData);
            std::memset(port.data, 0, bytes);
        }
    });
    return handle;
}

int32_t trace_close(Handle* handle) noexcept {
#ifdef BITWEFT_TRACE
    return guarded(handle, [=] {
        if (!handle->trace) return;
        handle->dump();
        handle->trace->close();
        handle->trace.reset();
    });
#else
    return status_ok;
#endif
}

void destroy(Handle* handle) noexcept {
    trace_close(handle);
    guarded(handle, [=] {
        if (handle->top) handle->top->final();
        handle->top.reset();
    });
    delete handle;
}

const Port* ports(Handle* handle, uint64_t* count) noexcept {
    *count = BITWEFT_PORT_COUNT;
    return handle->ports;
}

int32_t eval(Handle* handle) noexcept {
    return guarded(handle, [=] { handle->eval(); });
}

int32_t step(Handle* handle) noexcept {
    return guarded(handle, [=] {
        handle->eval();
        handle->dump();
        handle->context.timeInc(1);
    });
}

// Inputs settle in the low half of the clock at even times, the rising edge is at odd times.
int32_t tick(Handle* handle, uint64_t count) noexcept {
#ifdef BITWEFT_CLOCK
    return guarded(handle, [=] {
        Vmodel* const top = handle->top.get();
        VerilatedContext& context = handle->context;
        // The first evaluation only initializes: it sees no edge.
        if (!handle->evaluated) handle->eval();
        for (uint64_t left = count; left && !context.gotFinish(); --left) {
#ifdef BITWEFT_TRACE
            if (handle->trace) {
                top->eval();
                handle->dump();
            }
#endif
            context.timeInc(1);
            top->BITWEFT_CLOCK = 1;
            top->eval();
            handle->dump();
            context.timeInc(1);
            top->BITWEFT_CLOCK = 0;
            top->eval();
            ++handle->cycles;
        }
    });
#else
    return status_unavailable;
#endif
}

int32_t trace_open(Handle* handle, const char* path) noexcept {
#ifdef BITWEFT_TRACE
    bool open = false;
    const int32_t status = guarded(handle, [=, &open] {
        handle->trace.reset(new VerilatedFstC);
        handle->top->trace(handle->trace.get(), 99);
        handle->trace->open(path);
        open = handle->trace->isOpen();
        if (!open) handle->trace.reset();
    });
    return status == status_ok && !open ? status_unavailable : status;
#else
    return status_unavailable;
#endif
}

int32_t coverage_write(Handle* handle, const char* path) noexcept {
#ifdef BITWEFT_COVERAGE
    return guarded(handle, [=] { handle->context.coveragep()->write(path); });
#else
    return status_unavailable;
#endif
}

const char* output(Handle* handle, uint64_t* bytes) noexcept {
    *bytes = handle->log.text.size();
    return handle->log.text.data();
}

void output_clear(Handle* handle) noexcept { handle->log.text.clear(); }
uint64_t cycles(Handle* handle) noexcept { return handle->cycles; }
int32_t finished(Handle* handle) noexcept { return handle->context.gotFinish(); }

struct Interface {
    Handle* (*create)(int32_t, int32_t, int32_t*) noexcept;
    void (*destroy)(Handle*) noexcept;
    const Port* (*ports)(Handle*, uint64_t*) noexcept;
    int32_t (*eval)(Handle*) noexcept;
    int32_t (*step)(Handle*) noexcept;
    int32_t (*tick)(Handle*, uint64_t) noexcept;
    int32_t (*trace_open)(Handle*, const char*) noexcept;
    int32_t (*trace_close)(Handle*) noexcept;
    int32_t (*coverage_write)(Handle*, const char*) noexcept;
    const char* (*output)(Handle*, uint64_t*) noexcept;
    void (*output_clear)(Handle*) noexcept;
    uint64_t (*cycles)(Handle*) noexcept;
    int32_t (*finished)(Handle*) noexcept;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const Interface* bitweft_model() {
    static const Interface interface = {create,     destroy,     ports,          eval,   step,         tick,   trace_open,
                                        trace_close, coverage_write, output, output_clear, cycles, finished};
    return &interface;
}
