#pragma once

/// Marks what libgraft offers to plugins and programs; everything else stays hidden.
#define GRAFT_API __attribute__((visibility("default")))
