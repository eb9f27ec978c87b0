/**
 * Rows as CSV (RFC 4180). Texts that a spreadsheet would take for a formula are prefixed with an apostrophe.
 */
export function toCsv(
  columns: readonly string[],
  rows: readonly Readonly<Record<string, unknown>>[],
): string {
  let text = `${columns.map(field).join(',')}\r\n`;
  for (const row of rows) text += `${columns.map((name) => field(row[name])).join(',')}\r\n`;
  return text;
}

function field(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = /^[=+\-@\t\r]/.test(String(value)) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
