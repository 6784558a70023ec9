#include <fmt/format.h>

#include "burin/error.h"
#include "tools/commands.h"

int main(int argc, char** argv) {
  CLI::App app("Burin: compiled kernels for the fusable parts of a neural network", "burin");
  app.set_version_flag("--version", BURIN_VERSION);
  app.require_subcommand(1);
  int status = 0;
  burin::tools::add_inspect(app, status);
  burin::tools::add_run(app, status);
  burin::tools::add_bench(app, status);
  burin::tools::add_demo(app, status);
  burin::tools::add_operators(app, status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e);
  } catch (const burin::Error& e) {
    fmt::print(stderr, "burin: {}\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    fmt::print(stderr, "burin: {}\n", e.what());
    return 2;
  }
  return status;
}
