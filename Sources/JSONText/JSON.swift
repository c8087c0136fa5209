/// A JSON value as RFC 8259 defines it, detached from the text it was read from.
///
/// Two things a dictionary-based representation loses are kept: the order of an object's members, and whether a number
/// was written as an integer. The second is what lets a reader refuse `"nodes": 2.5` and still accept `"seconds": 2`.
///
/// Two values are equal when they have the same kind and content, members in the same order. `.integer(1)` and
/// `.number(1.0)` are different values. Strings compare as Swift strings, by canonical equivalence.
package enum JSON: Sendable, Equatable {
  /// The literal `null`.
  case null

  /// The literal `true` or `false`.
  case boolean(Bool)

  /// A number written without fraction and exponent that fits `Int`.
  case integer(Int)

  /// Any other number: the nearest finite double of its text.
  case number(Double)

  /// A string of Unicode scalars; U+0000 is allowed.
  case string(String)

  /// An array, in the order of its text.
  case array([JSON])

  /// An object: its members in the order of its text, no two with the same key.
  case object([JSONMember])
}

/// One `"key": value` pair of a JSON object.
package struct JSONMember: Sendable, Equatable {
  /// The name of the member, unique in its object and without U+0000, which json-c cannot hold in a key.
  package let key: String

  /// The value under that name.
  package let value: JSON

  /// A member with the given key and value.
  package init(_ key: String, _ value: JSON) {
    self.key = key
    self.value = value
  }
}
