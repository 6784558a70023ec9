#pragma once

#include <functional>
#include <string>

namespace burin::tools {

/// Runs `work` in a process of its own and gives its result; a burin::Error in there is thrown
/// here. To be called before this process has threads: a child has none of them.
std::string in_child_process(const std::function<std::string()>& work);

/// Of this process, in MB (2^20 bytes).
double resident_mb();
/// The largest resident size so far, or since reset_peak_resident().
double peak_resident_mb();
/// Where the system denies it, the peak stays the one since the process began.
void reset_peak_resident();

}  // namespace burin::tools
