// BURIN_EXPORT marks what libburin.so offers to its users; everything else stays hidden.
//
//   class BURIN_EXPORT Graph { ... };          // a class: all of its members
//   BURIN_EXPORT Graph parse(std::string_view text);
//
// Types that are thrown, or that cross the library's border with a vtable, need it too, so that
// both sides agree on their type information.

#pragma once

#if defined(__GNUC__) || defined(__clang__)
#define BURIN_EXPORT __attribute__((visibility("default")))
#else
#define BURIN_EXPORT
#endif
