package import JSONText

extension JSON {
  /// The same document with the value at a pointer replaced, such as `/datasheet/memory_bytes`; a last key that is not
  /// there is added.
  package func replacing(_ pointer: String, with value: JSON) -> JSON {
    replacing(pointer.split(separator: "/").map(String.init)[...], with: value)
  }

  private func replacing(_ path: ArraySlice<String>, with value: JSON) -> JSON {
    guard let key = path.first else { return value }
    switch self {
    case .object(let members):
      guard members.contains(where: { $0.key == key }) else { return .object(members + [JSONMember(key, value)]) }
      return .object(
        members.map { $0.key == key ? JSONMember(key, $0.value.replacing(path.dropFirst(), with: value)) : $0 })
    case .array(let elements):
      return .array(
        elements.enumerated().map { String($0) == key ? $1.replacing(path.dropFirst(), with: value) : $1 })
    default: return self
    }
  }
}
