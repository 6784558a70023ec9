#pragma once

#include "frontend/node_importer.h"

namespace burin::frontend {

/// New rows over old ones, in a place of its own for each batch: along `axis` of a tensor [B, .., T, ..],
/// the rows of `update` [B, .., S, ..] from `first` on, an i64 tensor [B] or [1].
struct CacheUpdate {
  ValueId cache = kNone, update = kNone, first = kNone;
  std::int64_t axis = 2;
  bool wraps = false;  ///< behind the last row comes the first
};

ValueId write_rows(NodeImporter& n, const CacheUpdate& what);

}  // namespace burin::frontend
