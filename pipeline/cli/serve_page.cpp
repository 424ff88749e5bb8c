#include "serve_page.h"

#include <fmt/format.h>

#include <graft/version.h>

namespace graft::cli {

const char* const kServePolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const char* const kServePage = R"(<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>graft</title>
<link rel="stylesheet" href="style.css">
<script src="app.js" defer></script>
<h1 id="title">graft</h1>
<label id="drop" tabindex="0">
  Drop images here, or choose them
  <input id="files" type="file" accept="image/*" multiple>
</label>
<p id="status" role="status"></p>
<ol id="results"></ol>
</html>
)";

const char* const kServeStyle =
    R"(body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 48rem; padding: 0 1rem; color: #222; background: #fff; }
#drop { display: block; border: 2px dashed #888; border-radius: 8px; padding: 3rem 1rem; text-align: center; cursor: pointer; }
#drop.over, #drop:focus-within { border-color: #06c; background: #eef5ff; }
#files { display: block; margin: 1rem auto 0; }
#results { list-style: none; padding: 0; }
#results li { display: flex; gap: 1rem; border-top: 1px solid #ddd; padding: 1rem 0; }
#results img { width: 9rem; height: 9rem; object-fit: contain; background: #f4f4f4; }
#results table { border-collapse: collapse; }
#results td { padding: 0 .75rem 0 0; }
.rejected { color: #a00; }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #181818; }
  #drop.over, #drop:focus-within { background: #123; }
  #results img { background: #222; }
  .rejected { color: #f88; }
}
)";

const char* const kServeScript = R"JS("use strict";
const drop = document.getElementById("drop");
const files = document.getElementById("files");
const status = document.getElementById("status");
const results = document.getElementById("results");
let path = "predict";

function add(parent, tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  parent.append(element);
  return element;
}

function show(file, prediction) {
  const item = document.createElement("li");
  const image = add(item, "img");
  image.alt = "";
  image.src = URL.createObjectURL(file);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src));
  const text = add(item, "div");
  if (prediction.rejected) {
    add(text, "strong", file.name);
    add(text, "p", prediction.rejected.reason, "rejected");
  } else {
    add(text, "strong", prediction.predicted.join(", ") || "none of the classes");
    add(text, "div", file.name);
    const table = add(text, "table");
    /* Names such as "10" come out of JSON in the order of numbers. */
    const scores = Object.entries(prediction.scores).sort((a, b) => b[1] - a[1]);
    for (const [name, score] of scores) {
      const row = add(table, "tr");
      add(row, "td", name);
      const meter = add(add(row, "td"), "meter");
      meter.value = score;
      add(row, "td", (100 * score).toFixed(1) + " %");
    }
    if (prediction.neighbors)
      add(text, "div", "most like: " + prediction.neighbors.map(near => near.key).join(", "));
  }
  results.prepend(item);
}

async function predict(chosen) {
  for (const file of chosen) {
    status.textContent = "Predicting " + file.name;
    try {
      const answer = await fetch(path + "?top=5", {method: "POST", body: file});
      const body = await answer.json();
      if (body.error) throw new Error(body.error);
      show(file, body.predictions[0]);
    } catch (error) {
      show(file, {rejected: {reason: error.message}});
    }
  }
  status.textContent = "";
}

files.addEventListener("change", () => predict(files.files));
drop.addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", event => {
  event.preventDefault();
  drop.classList.remove("over");
  predict(event.dataTransfer.files);
});
fetch("healthz").then(answer => answer.json()).then(health => {
  if (health.neighbors) path = "neighbors";
  document.getElementById("title").textContent = health.learner + ": " + health.classes.slice(0, 10).join(", ")
    + (health.classes.length > 10 ? ", ..." : "");
});
)JS";

std::string serve_description() {
  static constexpr const char* kText = R"({
  "openapi": "3.0.3",
  "info": {"title": "graft serve", "version": "VERSION", "description": "Predictions of a trained model."},
  "paths": {
    "/predict": {
      "post": {
        "summary": "Classes and scores of images",
        "parameters": [
          {"name": "top", "in": "query", "description": "Only the best classes", "schema": {"type": "integer", "minimum": 1}},
          {"name": "threshold", "in": "query", "description": "Predict only classes with at least this score", "schema": {"type": "number", "minimum": 0, "maximum": 1}}
        ],
        "requestBody": {"$ref": "#/components/requestBodies/Images"},
        "responses": {
          "200": {"description": "One prediction per image, in their order", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Predictions"}}}},
          "422": {"description": "No image could be used; the reasons are in the predictions", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Predictions"}}}},
          "400": {"$ref": "#/components/responses/Error"}, "408": {"$ref": "#/components/responses/Error"},
          "413": {"$ref": "#/components/responses/Error"}, "429": {"$ref": "#/components/responses/Error"},
          "500": {"$ref": "#/components/responses/Error"}, "503": {"$ref": "#/components/responses/Error"},
          "504": {"$ref": "#/components/responses/Error"}
        }
      }
    },
    "/embed": {
      "post": {
        "summary": "Feature vectors of images",
        "requestBody": {"$ref": "#/components/requestBodies/Images"},
        "responses": {
          "200": {"description": "One vector per image, in their order", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Embeddings"}}}},
          "422": {"description": "No image could be used", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Embeddings"}}}},
          "400": {"$ref": "#/components/responses/Error"}, "408": {"$ref": "#/components/responses/Error"},
          "413": {"$ref": "#/components/responses/Error"}, "429": {"$ref": "#/components/responses/Error"},
          "500": {"$ref": "#/components/responses/Error"}, "503": {"$ref": "#/components/responses/Error"},
          "504": {"$ref": "#/components/responses/Error"}
        }
      }
    },
    "/neighbors": {
      "post": {
        "summary": "As /predict, and the training images that are most like each image",
        "parameters": [{"name": "k", "in": "query", "description": "How many at most", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 5}}],
        "requestBody": {"$ref": "#/components/requestBodies/Images"},
        "responses": {
          "200": {"description": "One prediction per image, in their order", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Predictions"}}}},
          "404": {"$ref": "#/components/responses/Error"}
        }
      }
    },
    "/healthz": {"get": {"summary": "The model, once it is ready", "responses": {"200": {"description": "It is ready", "content": {"application/json": {"schema": {"type": "object"}}}}}}},
    "/metrics": {"get": {"summary": "Counters for Prometheus", "responses": {"200": {"description": "Text", "content": {"text/plain": {"schema": {"type": "string"}}}}}}}
  },
  "components": {
    "requestBodies": {
      "Images": {
        "required": true,
        "content": {
          "application/octet-stream": {"schema": {"type": "string", "format": "binary", "description": "One encoded image"}},
          "image/*": {"schema": {"type": "string", "format": "binary"}},
          "multipart/form-data": {"schema": {"type": "object", "properties": {"image": {"type": "array", "items": {"type": "string", "format": "binary"}}}}}
        }
      }
    },
    "responses": {"Error": {"description": "What was wrong", "content": {"application/json": {"schema": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}}}}},
    "schemas": {
      "Rejected": {"type": "object", "properties": {"stage": {"type": "string"}, "code": {"type": "string"}, "reason": {"type": "string"}}},
      "Predictions": {
        "type": "object", "required": ["learner", "predictions"],
        "properties": {
          "learner": {"type": "string"},
          "predictions": {"type": "array", "items": {"type": "object", "required": ["key"], "properties": {
            "key": {"type": "string"},
            "predicted": {"type": "array", "items": {"type": "string"}},
            "scores": {"type": "object", "additionalProperties": {"type": "number"}},
            "neighbors": {"type": "array", "items": {"type": "object", "properties": {"key": {"type": "string"}, "similarity": {"type": "number"}}}},
            "rejected": {"$ref": "#/components/schemas/Rejected"}}}}
        }
      },
      "Embeddings": {
        "type": "object", "required": ["embeddings"],
        "properties": {
          "embeddings": {"type": "array", "items": {"type": "object", "required": ["key"], "properties": {
            "key": {"type": "string"},
            "features": {"type": "array", "items": {"type": "number"}},
            "rejected": {"$ref": "#/components/schemas/Rejected"}}}}
        }
      }
    }
  }
}
)";
  std::string text = kText;
  return text.replace(text.find("VERSION"), 7, GRAFT_VERSION);
}

}  // namespace graft::cli
