import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The code block that follows `<!-- recipe: NAME -->` in a document, so that what users copy is what tests run. */
export function readRecipe(document: string, name: string): string {
  const text = readFileSync(join(import.meta.dirname, '../../docs', document), 'utf8');
  const start = text.indexOf(`<!-- recipe: ${name} -->`);
  const block = start < 0 ? null : /```[a-z]*\n([\s\S]*?)\n```/.exec(text.slice(start));
  if (!block) throw new Error(`docs/${document} has no recipe ${name}`);
  return `${block[1]!}\n`;
}

/** Replaces texts that have to be there. */
export function adapt(recipe: string, replacements: Readonly<Record<string, string>>): string {
  let text = recipe;
  for (const [from, to] of Object.entries(replacements)) {
    if (!text.includes(from)) throw new Error(`the recipe does not contain ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}
