const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const longDays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

const fixed = /^([a-z]{3}), (\d\d) ([a-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) gmt$/;
const obsolete = /^([a-z]{6,9}), (\d\d)-([a-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) gmt$/;
const asctime = /^([a-z]{3}) ([a-z]{3}) (\d\d| \d) (\d\d):(\d\d):(\d\d) (\d{4})$/;

/**
 * An HTTP-date in milliseconds since the epoch, or null when it is not one (RFC 9110 section 5.6.7: the fixed form and
 * the two obsolete ones). Letters match in any case; a zone other than GMT is invalid (RFC 9111 section 4.2).
 * `nowMs` places two-digit years: what would lie more than 50 years ahead is in the past.
 */
export function parseHttpDate(text: string, nowMs: number): number | null {
  const lower = text.toLowerCase();
  let match = fixed.exec(lower);
  if (match) {
    if (!days.includes(match[1]!)) return null;
    return build(Number(match[4]), match[3]!, match[2]!, match[5]!, match[6]!, match[7]!);
  }
  match = obsolete.exec(lower);
  if (match) {
    if (!longDays.includes(match[1]!)) return null;
    const nowYear = new Date(nowMs).getUTCFullYear();
    let year = nowYear - (nowYear % 100) + Number(match[4]);
    if (year > nowYear + 50) year -= 100;
    return build(year, match[3]!, match[2]!, match[5]!, match[6]!, match[7]!);
  }
  match = asctime.exec(lower);
  if (match) {
    if (!days.includes(match[1]!)) return null;
    return build(Number(match[7]), match[2]!, match[3]!, match[4]!, match[5]!, match[6]!);
  }
  return null;
}

function build(
  year: number,
  monthName: string,
  dayText: string,
  hourText: string,
  minuteText: string,
  secondText: string,
): number | null {
  const month = months.indexOf(monthName);
  const day = Number(dayText);
  const hour = Number(hourText);
  const minute = Number(minuteText);
  const second = Number(secondText);
  if (month < 0 || day < 1 || hour > 23 || minute > 59 || second > 60) return null;
  const time = new Date(0);
  time.setUTCFullYear(year, month, day);
  if (time.getUTCMonth() !== month || time.getUTCDate() !== day) return null;
  time.setUTCHours(hour, minute, second);
  return time.getTime();
}

/** The fixed form of an HTTP-date. */
export function formatHttpDate(timeMs: number): string {
  return new Date(timeMs).toUTCString();
}
