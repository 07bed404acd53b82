// Without this the page works, too: it adds a button to copy each command, and "/" to go to the search box.
"use strict";
for (const code of document.querySelectorAll(".commands code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy: " + code.textContent);
  button.addEventListener("click", async () => {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      getSelection().selectAllChildren(code); // http pages of other machines have no clipboard
      done = document.execCommand("copy") ? done : "Selected";
    }
    button.textContent = done;
    document.getElementById("said").textContent = done;
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  code.after(button);
}
document.addEventListener("keydown", (event) => {
  const box = document.getElementById("q");
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && document.activeElement !== box) {
    event.preventDefault();
    box.focus();
    box.select();
  }
});
