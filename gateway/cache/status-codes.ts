/** Responses with these codes may be given heuristic freshness (RFC 9110 section 15.1). */
const heuristic = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501]);

/** Codes whose caching this cache knows; `must-understand` is about these (RFC 9111 section 5.2.2.3). */
const understood = new Set([
  200, 201, 202, 203, 204, 205, 207, 208, 226, 300, 301, 302, 303, 305, 307, 308, 400, 401, 402, 403, 404,
  405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 425, 426, 428, 429,
  431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
]);

export function isHeuristicallyCacheable(status: number): boolean {
  return heuristic.has(status);
}

export function isUnderstood(status: number): boolean {
  return understood.has(status);
}

/** The codes that stale-if-error covers (RFC 5861 section 4). */
export function isServerError(status: number): boolean {
  return status === 500 || status === 502 || status === 503 || status === 504;
}
