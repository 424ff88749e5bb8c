#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <graft/payload.h>

#include "shapes.h"

/// The two tasks share textures, clutter, lighting and noise, but no class: every outline belongs to one of
/// them.
enum class Task { Source, Target };

struct ClassSpec {
  Shape shape;
  Texture texture;
  std::string name() const { return std::string(to_string(texture)) + "-" + to_string(shape); }
};

/// All classes of a task: 16 of the source, 10 of the target. Any first n of them mix outlines and textures.
std::vector<ClassSpec> classes_of(Task task);

struct SceneOptions {
  int size = 32;         ///< px
  double clutter = 0.5;  ///< 0: empty background; 1: a dozen distracting strokes and spots.
  double noise = 0.3;    ///< 0: none; 1: a standard deviation of 60 of 255.
};

/// Draws one image: an object of the class somewhere in front of a textured, cluttered, unevenly lit
/// background. Place, size, rotation, colours and light say nothing about the class. A pure function of its
/// arguments, the same on every machine; any thread.
graft::Image draw(const ClassSpec& what, const SceneOptions& options, std::uint64_t seed,
                  std::string_view key);
