#pragma once

#include <CLI/CLI.hpp>

namespace burin::tools {

// Each adds one sub-command; its callback returns the exit status through `status`.

void add_inspect(CLI::App& app, int& status);
void add_run(CLI::App& app, int& status);
void add_bench(CLI::App& app, int& status);
void add_demo(CLI::App& app, int& status);
void add_operators(CLI::App& app, int& status);

}  // namespace burin::tools
