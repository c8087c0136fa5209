extension JSON {
  /// The value as an error message quotes it: always one line, of about 40 characters at most, whatever its size.
  ///
  /// `"fast"`, `-3`, `[1, 2, …]`, `{"nodes": 3, …}`. What a terminal would not show as itself is escaped.
  ///
  /// - Complexity: O(1); only what is shown is looked at.
  package var briefDescription: String {
    var text = ""
    var room = 40
    appendBrief(to: &text, room: &room)
    return text
  }

  /// Appends the value and takes what it uses from `room`, counted in Unicode scalars.
  ///
  /// A bracket takes two of `room`, for its closing one as well, so `room` also bounds the recursion.
  private func appendBrief(to text: inout String, room: inout Int) {
    switch self {
    case .null: Self.appendBriefWord("null", to: &text, room: &room)
    case .boolean(let value): Self.appendBriefWord(value.description, to: &text, room: &room)
    case .integer(let value): Self.appendBriefWord(value.description, to: &text, room: &room)
    case .number(let value): Self.appendBriefWord(value.description, to: &text, room: &room)
    case .string(let value): Self.appendBriefString(value, to: &text, room: &room)
    case .array(let elements):
      text += "["
      room -= 2
      for (index, element) in elements.enumerated() {
        guard Self.beginBriefItem(index, in: &text, room: &room) else { break }
        element.appendBrief(to: &text, room: &room)
      }
      text += "]"
    case .object(let members):
      text += "{"
      room -= 2
      for (index, member) in members.enumerated() {
        guard Self.beginBriefItem(index, in: &text, room: &room) else { break }
        Self.appendBriefString(member.key, to: &text, room: &room)
        text += ": "
        room -= 2
        member.value.appendBrief(to: &text, room: &room)
      }
      text += "}"
    }
  }

  private static func appendBriefWord(_ word: String, to text: inout String, room: inout Int) {
    text += word.utf8.count <= max(room, 1) ? word : "…"
    room -= word.utf8.count
  }

  private static func appendBriefString(
    _ string: String, to text: inout String, room: inout Int
  ) {
    text += "\""
    room -= 2
    for scalar in string.unicodeScalars {
      guard room > 0 else {
        text += "…"
        break
      }
      let shown = scalar == "\"" || scalar == "\\" ? "\\\(scalar)" : scalar.oneLineText
      text += shown
      room -= shown.unicodeScalars.count
    }
    text += "\""
  }

  /// Separates an element from the one before; false, and an ellipsis, when there is no room for it.
  private static func beginBriefItem(_ index: Int, in text: inout String, room: inout Int) -> Bool {
    if index > 0 {
      text += ", "
      room -= 2
    }
    guard room > 0 else {
      text += "…"
      return false
    }
    return true
  }
}

extension Unicode.Scalar {
  /// The scalar itself, or its JSON escapes where it would break the line, reorder it or not show.
  var oneLineText: String {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned,
      .surrogate:
      String(self).utf16.map { unit in
        let digits = String(unit, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }.joined()
    default: String(self)
    }
  }
}

extension String {
  /// The string with every scalar in the form that stays on one line.
  var oneLineText: String { unicodeScalars.map(\.oneLineText).joined() }
}
