"use strict";

// The clock: one server-sent event each second.
const clock = document.getElementById("clock");
new EventSource("clock").onmessage = (event) => { clock.textContent = event.data; };

// What the site sees of this request.
fetch("seen").then((answer) => answer.json()).then((seen) => {
  const list = document.getElementById("seen");
  list.replaceChildren();
  for (const [name, value] of Object.entries(seen)) {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = name;
    text.textContent = value || "not there";
    list.append(term, text);
  }
});
