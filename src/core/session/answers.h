// Answers of one wave leave together. While a scope lives, completions called on its thread put off what they
// cause (a message to their client); it is done when the scope ends, once for each client instead of once for
// each answer. Who completes many calls in a row makes a scope around them.
#ifndef HOLDFAST_CORE_SESSION_ANSWERS_H_
#define HOLDFAST_CORE_SESSION_ANSWERS_H_

#include <functional>
#include <vector>

namespace holdfast::session {

class AnswerScope {
 public:
  AnswerScope();
  ~AnswerScope();
  AnswerScope(const AnswerScope&) = delete;
  AnswerScope& operator=(const AnswerScope&) = delete;

  static bool Open();                                // this thread has one
  static void PutOff(std::function<void()> action);  // REQUIRES: Open()

 private:
  std::vector<std::function<void()>> actions_;
  AnswerScope* outer_;
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_ANSWERS_H_
