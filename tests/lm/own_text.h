#pragma once

#include <string_view>

namespace lazuli::lm::test {

/// A text to measure models on.
inline constexpr std::string_view own_text =
    "The lamp burned low upon the keeper's table, and the sea below the tower had not slept for three "
    "nights. "
    "\"My lord,\" said the boy, who had come up the stair with the news, \"there is a ship upon the bar, and "
    "no man "
    "in the town will go to her.\" The old man put on his coat without a word. He had been a pilot in the "
    "days of "
    "the late king, and he knew the bar as other men know the road to their own door. \"Is she large?\" he "
    "asked at "
    "last. \"Three masts, sir, and one of them is gone.\" \"Then we shall want the great boat, and six who "
    "can pull "
    "an oar, and you shall hold the light.\"\n\n"
    "They went down together in the rain. At the foot of the hill a few people had gathered about the "
    "church, for "
    "it is the custom of that country to ring the bells when a ship is in danger; but the bells did not "
    "ring, and "
    "nobody could tell why. The keeper looked from one face to another. \"I will not ask what you are afraid "
    "of,\" "
    "said he, \"for I have been afraid myself, and I found that it passed away as soon as my hands had "
    "something to "
    "do. Let those who have hands follow me.\" It was not a long speech, yet I have heard longer ones in the "
    "great "
    "halls of the nation that did less good. Five men stepped out, and then a woman, who said that her "
    "brother had "
    "sailed in the spring and that she would rather row than wait.\n\n"
    "What shall I say of that night? The wind was against them, and the tide was against them, and the hope "
    "that "
    "they had was so small that none of them would speak of it. Yet before the morning came they had brought "
    "eleven souls to the shore, and the last of them was a child with a bird in a wooden cage. When the sun "
    "rose, "
    "the people of the town came down to the water and stood there, and were ashamed, and were glad; and the "
    "old "
    "man went home up the hill to put out his lamp.\n";

}  // namespace lazuli::lm::test
