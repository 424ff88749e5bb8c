#pragma once

/// Outlines and fills that scenes are drawn from. Only + - * /, sqrt and floor of single floats are used,
/// which IEEE 754 defines to the last bit, so drawings are the same on every machine.
enum class Shape {
  Disc,
  Ring,
  Square,
  Triangle,
  Plus,
  Bar,
  HalfDisc,
  Rhombus,  // the source task
  Star,
  Crescent,
  Heart,
  Arrow,
  Ell  // the target task
};

enum class Texture { Solid, Stripes, Dots, Checks };

const char* to_string(Shape shape);
const char* to_string(Texture texture);

struct Point {
  float x = 0, y = 0;
};

/// Distance from `p` to the outline of a shape of about unit radius around the origin, negative inside
/// (formulas: I. Quilez, "2D distance functions").
float distance(Shape shape, Point p);

/// How much of the second colour of a texture there is at `p`, 0 to 1. `period` is the length of one repeat
/// and `blur` the width of an edge, both in the units of `p`.
float pattern(Texture texture, Point p, float period, float blur);

/// Distance to the segment from `a` to `b` with round ends of radius `r`.
float capsule(Point p, Point a, Point b, float r);
