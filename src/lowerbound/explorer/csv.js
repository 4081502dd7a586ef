// A table as text to lines of cells; commas, semicolons or tabs between them, quotes around a cell as in a spreadsheet.

export function cells(text) {
  const found = [[""]];
  const line = () => found[found.length - 1];
  const mark = [";", "\t"].find((each) => text.split("\n")[0].includes(each)) ?? ",";
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (quoted && letter === '"' && text[i + 1] === '"') line()[line().length - 1] += text[i++];
    else if (letter === '"') quoted = !quoted;
    else if (!quoted && letter === mark) line().push("");
    else if (!quoted && letter === "\n") found.push([""]);
    else if (letter !== "\r") line()[line().length - 1] += letter;
  }
  return found.map((each) => each.map((cell) => cell.trim())).filter((each) => each.some(Boolean));
}

// The place in a line of every column: by the names in the first line, where most of them stand there, else in order.
export function places(lines, names) {
  const found = names.map((name) => lines[0].indexOf(name));
  const headed = found.filter((place) => place >= 0).length > names.length / 2;
  return { first: headed ? 1 : 0, at: headed ? found : names.map((_, j) => j) };
}
